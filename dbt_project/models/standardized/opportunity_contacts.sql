-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
select
    connection,
    source_system,
    opportunity_id,
    contact_id,
    role,
    is_primary,
    id,
    is_deleted,
    synced_at
from {{ ref('stg_salesforce__opportunity_contacts') }}
union all
select
    connection,
    source_system,
    opportunity_id,
    contact_id,
    role,
    is_primary,
    id,
    is_deleted,
    synced_at
from {{ ref('stg_hubspot__deal_contacts') }}
union all
select
    connection,
    source_system,
    opportunity_id,
    contact_id,
    role,
    is_primary,
    id,
    is_deleted,
    synced_at
from {{ ref('stg_marketo__opportunity_contacts') }}
