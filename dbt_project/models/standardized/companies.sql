-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
select
    connection,
    source_system,
    id,
    name,
    domain,
    industry,
    phone,
    city,
    state,
    country,
    employees,
    annual_revenue,
    owner_id,
    created_date,
    last_updated,
    is_deleted,
    merged_into,
    synced_at
from {{ ref('stg_salesforce__companies') }}
union all
select
    connection,
    source_system,
    id,
    name,
    domain,
    industry,
    phone,
    city,
    state,
    country,
    employees,
    annual_revenue,
    owner_id,
    created_date,
    last_updated,
    is_deleted,
    merged_into,
    synced_at
from {{ ref('stg_hubspot__companies') }}
union all
select
    connection,
    source_system,
    id,
    name,
    domain,
    industry,
    phone,
    city,
    state,
    country,
    employees,
    annual_revenue,
    owner_id,
    created_date,
    last_updated,
    is_deleted,
    merged_into,
    synced_at
from {{ ref('stg_marketo__companies') }}
