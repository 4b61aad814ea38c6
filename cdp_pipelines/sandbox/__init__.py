"""The three CRMs on loopback: one seeded world, seen through Salesforce's, HubSpot's and Marketo's real APIs."""
