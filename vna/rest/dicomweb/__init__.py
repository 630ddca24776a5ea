"""DICOMweb: the studies service of PS3.18 over the same services that the REST interface calls."""
