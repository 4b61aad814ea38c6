-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
select
    connection,
    source_system,
    record_type,
    id,
    name,
    type,
    status,
    is_active,
    parent_id,
    start_date,
    end_date,
    owner_id,
    created_date,
    last_updated,
    is_deleted,
    synced_at
from {{ ref('stg_salesforce__campaigns') }}
union all
select
    connection,
    source_system,
    record_type,
    id,
    name,
    type,
    status,
    is_active,
    parent_id,
    start_date,
    end_date,
    owner_id,
    created_date,
    last_updated,
    is_deleted,
    synced_at
from {{ ref('stg_marketo__programs') }}
union all
select
    connection,
    source_system,
    record_type,
    id,
    name,
    type,
    status,
    is_active,
    parent_id,
    start_date,
    end_date,
    owner_id,
    created_date,
    last_updated,
    is_deleted,
    synced_at
from {{ ref('stg_marketo__smart_campaigns') }}
