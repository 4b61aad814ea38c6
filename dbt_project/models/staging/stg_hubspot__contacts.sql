-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
with records as (
    {{ latest(source('raw_hubspot', 'contacts'), key=['id'], columns=['id', 'email', 'firstname', 'lastname', 'phone', 'company',
        'jobtitle', 'hs_lead_score', 'hubspotscore', 'hs_predictivecontactscore_v2', 'hs_predictivecontactscore', 'lifecyclestage',
        'createdate', 'lastmodifieddate', 'hs_analytics_source', 'mobilephone', 'city', 'state', 'country', 'hubspot_owner_id',
        'hs_email_optout', 'hs_legal_basis', 'salesforcecontactid', 'salesforceleadid']) }}
),

main_company_rows as (
    {{ latest_set(source('raw_hubspot', 'contact_company_associations'), replaced_by=['from_id'], key=['from_id', 'to_id', 'category',
        'type_id'], columns=['from_id', 'to_id', 'category', 'type_id', 'label']) }}
),

main_company as (
    select
        connection,
        from_id,
        to_id
    from (
        select
            main_company_rows.connection as connection,
            main_company_rows.from_id as from_id,
            main_company_rows.to_id as to_id,
            row_number() over (
                partition by main_company_rows.connection, main_company_rows.from_id
                order by case when {{ lower_case('main_company_rows.label') }} = 'primary' then 0 else 1 end nulls last, {{ to_integer('main_company_rows.type_id') }} nulls last, {{ to_integer('main_company_rows.to_id') }} nulls last
            ) as place
        from main_company_rows
        where main_company_rows.to_id is not null
    ) as ranked
    where place = 1
),

company_record as (
    {{ latest(source('raw_hubspot', 'companies'), key=['id'], columns=['id', 'name']) }}
)

select
    records.connection as connection,
    'hubspot' as source_system,
    'contact' as record_type,
    {{ clean_text('records.id') }} as customer_id,
    {{ clean_email('records.email') }} as email,
    {{ clean_text('records.firstname') }} as first_name,
    {{ clean_text('records.lastname') }} as last_name,
    {{ clean_text('records.phone') }} as phone,
    {{ first_filled(['records.company', 'company_record.name']) }} as company,
    {{ clean_text('records.jobtitle') }} as title,
    {{ to_decimal(first_filled(['records.hs_lead_score', 'records.hubspotscore', 'records.hs_predictivecontactscore_v2', 'records.hs_predictivecontactscore']), 9, 2) }} as lead_score,
    {{ clean_text('records.lifecyclestage') }} as source,
    {{ to_timestamp_utc('records.createdate') }} as created_date,
    {{ to_timestamp_utc('records.lastmodifieddate') }} as last_updated,
    {{ clean_text('records.hs_analytics_source') }} as acquisition_source,
    {{ clean_text('records.lifecyclestage') }} as lifecycle_stage,
    {{ clean_text('records.mobilephone') }} as mobile_phone,
    {{ clean_text('records.city') }} as city,
    {{ clean_text('records.state') }} as state,
    {{ clean_text('records.country') }} as country,
    {{ clean_text('records.hubspot_owner_id') }} as owner_id,
    {{ clean_text('main_company.to_id') }} as company_id,
    {{ to_boolean('records.hs_email_optout') }} as do_not_email,
    cast(null as {{ dbt.type_timestamp() }}) as email_decided_at,
    cast(null as boolean) as marketing_suspended,
    cast(null as boolean) as do_not_call,
    cast(null as {{ dbt.type_timestamp() }}) as phone_decided_at,
    {{ clean_text('records.hs_legal_basis') }} as legal_basis,
    {{ first_filled(['records.salesforcecontactid', 'records.salesforceleadid']) }} as salesforce_id,
    cast(null as {{ dbt.type_string() }}) as converted_contact_id,
    coalesce(records._deleted, 'false') = 'true' as is_deleted,
    records._merged_into as merged_into,
    {{ to_timestamp_utc('records._synced_at') }} as synced_at
from records
left join main_company
    on main_company.connection = records.connection
    and main_company.from_id = records.id
left join company_record
    on company_record.connection = records.connection
    and company_record.id = main_company.to_id
