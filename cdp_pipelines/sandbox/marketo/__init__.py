"""Marketo on loopback: leads, companies, opportunities and activities of the sandbox's world behind Marketo's REST and bulk API."""
