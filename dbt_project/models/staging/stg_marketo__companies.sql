-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
with records as (
    {{ latest(source('raw_marketo', 'companies'), key=['id'], columns=['id', 'external_company_id', 'company', 'website', 'industry',
        'main_phone', 'billing_city', 'billing_state', 'billing_country', 'number_of_employees', 'annual_revenue',
        'external_sales_person_id', 'created_at', 'updated_at']) }}
),

lead_rows as (
    {{ latest(source('raw_marketo', 'leads'), key=['id'], columns=['id', 'external_company_id']) }}
),

lead as (
    select
        connection,
        external_company_id
    from (
        select
            lead_rows.connection as connection,
            lead_rows.external_company_id as external_company_id,
            row_number() over (
                partition by lead_rows.connection, lead_rows.external_company_id
                order by lead_rows.id nulls last
            ) as place
        from lead_rows
    ) as ranked
    where place = 1
)

select
    records.connection as connection,
    'marketo' as source_system,
    {{ clean_text('records.id') }} as id,
    {{ clean_text('records.company') }} as name,
    {{ clean_domain('records.website') }} as domain,
    {{ clean_text('records.industry') }} as industry,
    {{ clean_text('records.main_phone') }} as phone,
    {{ clean_text('records.billing_city') }} as city,
    {{ clean_text('records.billing_state') }} as state,
    {{ clean_text('records.billing_country') }} as country,
    {{ to_integer('records.number_of_employees') }} as employees,
    {{ to_decimal('records.annual_revenue', 18, 2) }} as annual_revenue,
    {{ clean_text('records.external_sales_person_id') }} as owner_id,
    {{ to_timestamp_utc('records.created_at') }} as created_date,
    {{ to_timestamp_utc('records.updated_at') }} as last_updated,
    {{ clean_text('records.external_company_id') }} as salesforce_id,
    coalesce(records._deleted, 'false') = 'true' as is_deleted,
    records._merged_into as merged_into,
    {{ to_timestamp_utc('records._synced_at') }} as synced_at
from records
join lead
    on lead.connection = records.connection
    and lead.external_company_id = records.external_company_id
