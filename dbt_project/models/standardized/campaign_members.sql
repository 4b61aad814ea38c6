-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
select
    connection,
    source_system,
    id,
    campaign_id,
    contact_id,
    status,
    responded,
    created_date,
    last_updated,
    is_deleted,
    synced_at
from {{ ref('stg_salesforce__campaign_members') }}
union all
select
    connection,
    source_system,
    id,
    campaign_id,
    contact_id,
    status,
    responded,
    created_date,
    last_updated,
    is_deleted,
    synced_at
from {{ ref('stg_marketo__program_members') }}
