"""Work that other machines do."""
