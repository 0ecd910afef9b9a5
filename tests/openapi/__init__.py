"""Recorded CRM exchanges against HubSpot's published OpenAPI files: ``python -m tests.openapi FOLDER FILE…``."""
