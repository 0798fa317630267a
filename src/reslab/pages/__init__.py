"""Offline pages: `standalone` puts content into a template with everything inline."""
