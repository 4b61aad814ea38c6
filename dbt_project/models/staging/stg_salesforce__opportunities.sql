-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
with records as (
    {{ latest(source('raw_salesforce', 'opportunity'), key=['id'], columns=['id', 'contact_id', 'name', 'stage_name', 'amount',
        'probability', 'close_date', 'currency_iso_code', 'is_closed', 'is_won', 'account_id', 'owner_id', 'created_date',
        'last_modified_date']) }}
),

primary_role_rows as (
    {{ latest(source('raw_salesforce', 'opportunity_contact_role'), key=['id'], columns=['id', 'opportunity_id', 'is_primary',
        'contact_id']) }}
),

primary_role as (
    select
        connection,
        opportunity_id,
        contact_id
    from (
        select
            primary_role_rows.connection as connection,
            primary_role_rows.opportunity_id as opportunity_id,
            primary_role_rows.contact_id as contact_id,
            row_number() over (
                partition by primary_role_rows.connection, primary_role_rows.opportunity_id
                order by primary_role_rows.id nulls last
            ) as place
        from primary_role_rows
        where primary_role_rows.is_primary = 'true' and coalesce(primary_role_rows._deleted, 'false') <> 'true'
    ) as ranked
    where place = 1
)

select
    records.connection as connection,
    'salesforce' as source_system,
    {{ clean_text('records.id') }} as id,
    {{ first_filled(['records.contact_id', 'primary_role.contact_id']) }} as contact_id,
    {{ clean_text('records.name') }} as name,
    {{ clean_text('records.stage_name') }} as stage,
    {{ to_decimal('records.amount', 18, 2) }} as value,
    cast({{ to_decimal('records.probability', 9, 6) }} * 0.01 as decimal(9,6)) as probability,
    {{ to_date_utc('records.close_date') }} as close_date,
    {{ clean_text('records.currency_iso_code') }} as currency,
    cast(null as {{ dbt.type_string() }}) as pipeline,
    {{ clean_text('records.stage_name') }} as stage_id,
    {{ to_boolean('records.is_closed') }} as is_closed,
    {{ to_boolean('records.is_won') }} as is_won,
    {{ clean_text('records.account_id') }} as company_id,
    {{ clean_text('records.owner_id') }} as owner_id,
    {{ to_timestamp_utc('records.created_date') }} as created_date,
    {{ to_timestamp_utc('records.last_modified_date') }} as last_updated,
    cast(null as {{ dbt.type_string() }}) as salesforce_id,
    coalesce(records._deleted, 'false') = 'true' as is_deleted,
    {{ to_timestamp_utc('records._synced_at') }} as synced_at
from records
left join primary_role
    on primary_role.connection = records.connection
    and primary_role.opportunity_id = records.id
