-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
select
    connection,
    source_system,
    contact_id,
    stage,
    changed_at,
    changed_by,
    is_deleted,
    synced_at
from {{ ref('stg_hubspot__lifecycle_stage_changes') }}
