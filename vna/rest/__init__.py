"""The HTTP way in: routes that clients written for Orthanc know, health and metrics."""
