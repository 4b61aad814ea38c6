-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
with records as (
    {{ latest(source('raw_marketo', 'opportunities'), key=['marketo_guid'], columns=['marketo_guid', 'external_opportunity_id',
        'external_company_id', 'name', 'stage', 'amount', 'probability', 'close_date', 'is_closed', 'is_won', 'external_sales_person_id',
        'created_at', 'updated_at']) }}
),

main_role_rows as (
    {{ latest_set(source('raw_marketo', 'opportunity_roles'), replaced_by=['lead_id'], key=['lead_id', 'marketo_guid'],
        columns=['lead_id', 'marketo_guid', 'external_opportunity_id', 'is_primary']) }}
),

main_role as (
    select
        connection,
        external_opportunity_id,
        lead_id
    from (
        select
            main_role_rows.connection as connection,
            main_role_rows.external_opportunity_id as external_opportunity_id,
            main_role_rows.lead_id as lead_id,
            row_number() over (
                partition by main_role_rows.connection, main_role_rows.external_opportunity_id
                order by case when main_role_rows.is_primary = 'true' then 0 else 1 end nulls last, main_role_rows.marketo_guid nulls last
            ) as place
        from main_role_rows
        where main_role_rows.marketo_guid is not null
    ) as ranked
    where place = 1
),

company_record_rows as (
    {{ latest(source('raw_marketo', 'companies'), key=['id'], columns=['id', 'external_company_id']) }}
),

company_record as (
    select
        connection,
        external_company_id,
        id
    from (
        select
            company_record_rows.connection as connection,
            company_record_rows.external_company_id as external_company_id,
            company_record_rows.id as id,
            row_number() over (
                partition by company_record_rows.connection, company_record_rows.external_company_id
                order by company_record_rows.id nulls last
            ) as place
        from company_record_rows
    ) as ranked
    where place = 1
)

select
    records.connection as connection,
    'marketo' as source_system,
    {{ clean_text('records.marketo_guid') }} as id,
    {{ clean_text('main_role.lead_id') }} as contact_id,
    {{ clean_text('records.name') }} as name,
    {{ clean_text('records.stage') }} as stage,
    {{ to_decimal('records.amount', 18, 2) }} as value,
    cast({{ to_decimal('records.probability', 9, 6) }} * 0.01 as decimal(9,6)) as probability,
    {{ to_date_utc('records.close_date') }} as close_date,
    cast(null as {{ dbt.type_string() }}) as currency,
    cast(null as {{ dbt.type_string() }}) as pipeline,
    {{ clean_text('records.stage') }} as stage_id,
    {{ to_boolean('records.is_closed') }} as is_closed,
    {{ to_boolean('records.is_won') }} as is_won,
    {{ clean_text('company_record.id') }} as company_id,
    {{ clean_text('records.external_sales_person_id') }} as owner_id,
    {{ to_timestamp_utc('records.created_at') }} as created_date,
    {{ to_timestamp_utc('records.updated_at') }} as last_updated,
    {{ clean_text('records.external_opportunity_id') }} as salesforce_id,
    coalesce(records._deleted, 'false') = 'true' as is_deleted,
    {{ to_timestamp_utc('records._synced_at') }} as synced_at
from records
join main_role
    on main_role.connection = records.connection
    and main_role.external_opportunity_id = records.external_opportunity_id
left join company_record
    on company_record.connection = records.connection
    and company_record.external_company_id = records.external_company_id
