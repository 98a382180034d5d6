"""Methods: one file each, made by name from the catalog's cards."""
