"""What a fleet did and where it stands, as one document and one HTML page. Reads only; every fact comes from below."""
