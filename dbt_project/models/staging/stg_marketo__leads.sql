-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
with records as (
    {{ latest(source('raw_marketo', 'leads'), key=['id'], columns=['id', 'external_company_id', 'email', 'first_name', 'last_name',
        'phone', 'company', 'title', 'lead_score', 'lead_source', 'created_at', 'updated_at', 'original_source_type', 'lead_status',
        'mobile_phone', 'city', 'state', 'country', 'external_sales_person_id', 'contact_company', 'unsubscribed', 'marketing_suspended',
        'do_not_call', 'sfdc_contact_id', 'sfdc_lead_id']) }}
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
),

email_change_rows as (
    {{ latest(source('raw_marketo', 'activities'), key=['marketo_guid'], columns=['marketo_guid', 'lead_id', 'activity_type_id',
        'primary_attribute_value', 'activity_date']) }}
),

email_change as (
    select
        connection,
        lead_id,
        activity_date
    from (
        select
            email_change_rows.connection as connection,
            email_change_rows.lead_id as lead_id,
            email_change_rows.activity_date as activity_date,
            row_number() over (
                partition by email_change_rows.connection, email_change_rows.lead_id
                order by {{ to_timestamp_utc('email_change_rows.activity_date') }} desc nulls last, email_change_rows.marketo_guid desc nulls last
            ) as place
        from email_change_rows
        where email_change_rows.activity_type_id = '13' and {{ lower_case('email_change_rows.primary_attribute_value') }} = 'unsubscribed'
    ) as ranked
    where place = 1
),

phone_change_rows as (
    {{ latest(source('raw_marketo', 'activities'), key=['marketo_guid'], columns=['marketo_guid', 'lead_id', 'activity_type_id',
        'primary_attribute_value', 'activity_date']) }}
),

phone_change as (
    select
        connection,
        lead_id,
        activity_date
    from (
        select
            phone_change_rows.connection as connection,
            phone_change_rows.lead_id as lead_id,
            phone_change_rows.activity_date as activity_date,
            row_number() over (
                partition by phone_change_rows.connection, phone_change_rows.lead_id
                order by {{ to_timestamp_utc('phone_change_rows.activity_date') }} desc nulls last, phone_change_rows.marketo_guid desc nulls last
            ) as place
        from phone_change_rows
        where phone_change_rows.activity_type_id = '13' and {{ lower_case('phone_change_rows.primary_attribute_value') }} in ('do not call', 'donotcall')
    ) as ranked
    where place = 1
)

select
    records.connection as connection,
    'marketo' as source_system,
    'lead' as record_type,
    {{ clean_text('records.id') }} as customer_id,
    {{ clean_email('records.email') }} as email,
    {{ clean_text('records.first_name') }} as first_name,
    {{ clean_text('records.last_name') }} as last_name,
    {{ clean_text('records.phone') }} as phone,
    {{ clean_text('records.company') }} as company,
    {{ clean_text('records.title') }} as title,
    {{ to_decimal('records.lead_score', 9, 2) }} as lead_score,
    {{ clean_text('records.lead_source') }} as source,
    {{ to_timestamp_utc('records.created_at') }} as created_date,
    {{ to_timestamp_utc('records.updated_at') }} as last_updated,
    {{ first_filled(['records.lead_source', 'records.original_source_type']) }} as acquisition_source,
    {{ clean_text('records.lead_status') }} as lifecycle_stage,
    {{ clean_text('records.mobile_phone') }} as mobile_phone,
    {{ clean_text('records.city') }} as city,
    {{ clean_text('records.state') }} as state,
    {{ clean_text('records.country') }} as country,
    {{ clean_text('records.external_sales_person_id') }} as owner_id,
    {{ first_filled(['company_record.id', 'records.contact_company']) }} as company_id,
    {{ to_boolean('records.unsubscribed') }} as do_not_email,
    {{ to_timestamp_utc('email_change.activity_date') }} as email_decided_at,
    {{ to_boolean('records.marketing_suspended') }} as marketing_suspended,
    {{ to_boolean('records.do_not_call') }} as do_not_call,
    {{ to_timestamp_utc('phone_change.activity_date') }} as phone_decided_at,
    cast(null as {{ dbt.type_string() }}) as legal_basis,
    {{ first_filled(['records.sfdc_contact_id', 'records.sfdc_lead_id']) }} as salesforce_id,
    cast(null as {{ dbt.type_string() }}) as converted_contact_id,
    coalesce(records._deleted, 'false') = 'true' as is_deleted,
    records._merged_into as merged_into,
    {{ to_timestamp_utc('records._synced_at') }} as synced_at
from records
left join company_record
    on company_record.connection = records.connection
    and company_record.external_company_id = records.external_company_id
left join email_change
    on email_change.connection = records.connection
    and email_change.lead_id = records.id
left join phone_change
    on phone_change.connection = records.connection
    and phone_change.lead_id = records.id
