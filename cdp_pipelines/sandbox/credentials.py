"""What the sandbox accepts. These open nothing but the sandbox on this machine."""

SALESFORCE = {
    "client_id": "sandbox-consumer-key",
    "client_secret": "sandbox-consumer-secret",
    "username": "api@sandbox.example.com",
    "password": "sandbox-password-and-token",
}
HUBSPOT = {"access_token": "pat-na1-5a4d0b0c-5a4d-4b0c-8a4d-5a4d0b0c5a4d"}
MARKETO = {"client_id": "sandbox-client-id", "client_secret": "sandbox-client-secret"}
# What the sandbox's change notifications are signed with (HubSpot: the public app's client secret), or show.
HUBSPOT_CLIENT_SECRET = "sandbox-app-client-secret"
WEBHOOK_SECRET = "sandbox-webhook-secret"
