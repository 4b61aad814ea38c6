"""A Salesforce org on loopback: sign-in, describe, SOQL, paging, deletions, Bulk API 2.0 and limits as the vendor's own."""
