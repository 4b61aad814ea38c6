-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
with records as (
    {{ latest(source('raw_marketo', 'campaigns'), key=['id'], columns=['id', 'name', 'type', 'active', 'program_id', 'created_at',
        'updated_at']) }}
)

select
    records.connection as connection,
    'marketo' as source_system,
    'smart_campaign' as record_type,
    {{ clean_text('records.id') }} as id,
    {{ clean_text('records.name') }} as name,
    {{ clean_text('records.type') }} as type,
    cast(null as {{ dbt.type_string() }}) as status,
    {{ to_boolean('records.active') }} as is_active,
    {{ clean_text('records.program_id') }} as parent_id,
    cast(null as date) as start_date,
    cast(null as date) as end_date,
    cast(null as {{ dbt.type_string() }}) as owner_id,
    {{ to_timestamp_utc('records.created_at') }} as created_date,
    {{ to_timestamp_utc('records.updated_at') }} as last_updated,
    coalesce(records._deleted, 'false') = 'true' as is_deleted,
    {{ to_timestamp_utc('records._synced_at') }} as synced_at
from records
