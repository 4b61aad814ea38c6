-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
with records as (
    {{ latest(source('raw_salesforce', 'opportunity_contact_role'), key=['id'], columns=['id', 'opportunity_id', 'contact_id', 'role',
        'is_primary']) }}
)

select
    records.connection as connection,
    'salesforce' as source_system,
    {{ clean_text('records.opportunity_id') }} as opportunity_id,
    {{ clean_text('records.contact_id') }} as contact_id,
    {{ clean_text('records.role') }} as role,
    {{ to_boolean('records.is_primary') }} as is_primary,
    {{ clean_text('records.id') }} as id,
    coalesce(records._deleted, 'false') = 'true' as is_deleted,
    {{ to_timestamp_utc('records._synced_at') }} as synced_at
from records
