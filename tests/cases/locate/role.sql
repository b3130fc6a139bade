-- role "norole" does not exist
GRANT SELECT ON t TO ►norole
