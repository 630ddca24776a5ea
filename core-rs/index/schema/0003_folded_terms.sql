-- Terms are searched without case and accents in all fields; until now names alone were stored so. 2 patient id,
-- 4 study description, 6 accession number, 7 study id.
UPDATE OR REPLACE term SET value = vna_fold(value)
    WHERE field IN (2, 4, 6, 7) AND value <> vna_fold(value);
DELETE FROM term WHERE field IN (2, 4, 6, 7) AND value = '';
-- Grams are made anew, in the background.
INSERT INTO gram (gram) VALUES ('delete-all');
UPDATE meta SET grammed_to = 0;
