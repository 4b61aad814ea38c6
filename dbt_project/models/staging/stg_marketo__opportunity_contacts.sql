-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
with opportunity_roles_rows as (
    {{ latest_set(source('raw_marketo', 'opportunity_roles'), replaced_by=['lead_id'], key=['lead_id', 'marketo_guid'],
        columns=['lead_id', 'marketo_guid', 'external_opportunity_id', 'role', 'is_primary']) }}
),

records as (
    select
        opportunity_roles_rows.connection as connection,
        opportunity_roles_rows._synced_at as _synced_at,
        opportunity_roles_rows._deleted as _deleted,
        opportunity_roles_rows._merged_into as _merged_into,
        opportunity_roles_rows.marketo_guid as marketo_guid,
        opportunity_roles_rows.external_opportunity_id as external_opportunity_id,
        opportunity_roles_rows.lead_id as lead_id,
        opportunity_roles_rows.role as role,
        opportunity_roles_rows.is_primary as is_primary
    from opportunity_roles_rows
    where opportunity_roles_rows.marketo_guid is not null
),

opportunity_rows as (
    {{ latest(source('raw_marketo', 'opportunities'), key=['marketo_guid'], columns=['marketo_guid', 'external_opportunity_id']) }}
),

opportunity as (
    select
        connection,
        external_opportunity_id,
        marketo_guid
    from (
        select
            opportunity_rows.connection as connection,
            opportunity_rows.external_opportunity_id as external_opportunity_id,
            opportunity_rows.marketo_guid as marketo_guid,
            row_number() over (
                partition by opportunity_rows.connection, opportunity_rows.external_opportunity_id
                order by opportunity_rows.marketo_guid nulls last
            ) as place
        from opportunity_rows
    ) as ranked
    where place = 1
)

select
    records.connection as connection,
    'marketo' as source_system,
    {{ first_filled(['opportunity.marketo_guid', 'records.external_opportunity_id']) }} as opportunity_id,
    {{ clean_text('records.lead_id') }} as contact_id,
    {{ clean_text('records.role') }} as role,
    {{ to_boolean('records.is_primary') }} as is_primary,
    cast(records.lead_id || '-' || records.marketo_guid as {{ dbt.type_string() }}) as id,
    coalesce(records._deleted, 'false') = 'true' as is_deleted,
    {{ to_timestamp_utc('records._synced_at') }} as synced_at
from records
left join opportunity
    on opportunity.connection = records.connection
    and opportunity.external_opportunity_id = records.external_opportunity_id
