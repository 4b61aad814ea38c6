"""HubSpot's CRM API on loopback."""
