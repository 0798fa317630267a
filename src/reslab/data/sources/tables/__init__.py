"""Tables of images and labels: CSV, TSV, JSON, alone or beside the folders that they describe."""
