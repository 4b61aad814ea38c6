-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
with deal_contact_associations_rows as (
    {{ latest_set(source('raw_hubspot', 'deal_contact_associations'), replaced_by=['from_id'], key=['from_id', 'to_id', 'category',
        'type_id'], columns=['from_id', 'to_id', 'category', 'type_id', 'label']) }}
),

records as (
    select
        deal_contact_associations_rows.connection as connection,
        deal_contact_associations_rows._synced_at as _synced_at,
        deal_contact_associations_rows._deleted as _deleted,
        deal_contact_associations_rows._merged_into as _merged_into,
        deal_contact_associations_rows.to_id as to_id,
        deal_contact_associations_rows.from_id as from_id,
        deal_contact_associations_rows.label as label,
        deal_contact_associations_rows.category as category,
        deal_contact_associations_rows.type_id as type_id
    from deal_contact_associations_rows
    where deal_contact_associations_rows.to_id is not null
)

select
    records.connection as connection,
    'hubspot' as source_system,
    {{ clean_text('records.from_id') }} as opportunity_id,
    {{ clean_text('records.to_id') }} as contact_id,
    {{ clean_text('records.label') }} as role,
    cast(coalesce({{ lower_case('records.label') }} like '%primary%', false) as boolean) as is_primary,
    cast(records.from_id || '-' || records.to_id || '-' || coalesce(records.category, '') || '-' || coalesce(records.type_id, '') as {{ dbt.type_string() }}) as id,
    coalesce(records._deleted, 'false') = 'true' as is_deleted,
    {{ to_timestamp_utc('records._synced_at') }} as synced_at
from records
