-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
with records as (
    {{ latest(source('raw_salesforce', 'lead'), key=['id'], columns=['id', 'email', 'first_name', 'last_name', 'phone', 'company',
        'title', 'lead_score__c', 'lead_score__c_85a0ab', 'pi__score__c', 'mkto71_lead_score__c', 'lead_source', 'created_date',
        'last_modified_date', 'status', 'mobile_phone', 'city', 'state', 'country', 'owner_id', 'converted_account_id',
        'has_opted_out_of_email', 'do_not_call', 'converted_contact_id']) }}
)

select
    records.connection as connection,
    'salesforce' as source_system,
    'lead' as record_type,
    {{ clean_text('records.id') }} as customer_id,
    {{ clean_email('records.email') }} as email,
    {{ clean_text('records.first_name') }} as first_name,
    {{ clean_text('records.last_name') }} as last_name,
    {{ clean_text('records.phone') }} as phone,
    {{ clean_text('records.company') }} as company,
    {{ clean_text('records.title') }} as title,
    {{ to_decimal(first_filled(['records.lead_score__c', 'records.lead_score__c_85a0ab', 'records.pi__score__c', 'records.mkto71_lead_score__c']), 9, 2) }} as lead_score,
    {{ clean_text('records.lead_source') }} as source,
    {{ to_timestamp_utc('records.created_date') }} as created_date,
    {{ to_timestamp_utc('records.last_modified_date') }} as last_updated,
    {{ clean_text('records.lead_source') }} as acquisition_source,
    {{ clean_text('records.status') }} as lifecycle_stage,
    {{ clean_text('records.mobile_phone') }} as mobile_phone,
    {{ clean_text('records.city') }} as city,
    {{ clean_text('records.state') }} as state,
    {{ clean_text('records.country') }} as country,
    {{ clean_text('records.owner_id') }} as owner_id,
    {{ clean_text('records.converted_account_id') }} as company_id,
    {{ to_boolean('records.has_opted_out_of_email') }} as do_not_email,
    cast(null as {{ dbt.type_timestamp() }}) as email_decided_at,
    cast(null as boolean) as marketing_suspended,
    {{ to_boolean('records.do_not_call') }} as do_not_call,
    cast(null as {{ dbt.type_timestamp() }}) as phone_decided_at,
    cast(null as {{ dbt.type_string() }}) as legal_basis,
    cast(null as {{ dbt.type_string() }}) as salesforce_id,
    {{ clean_text('records.converted_contact_id') }} as converted_contact_id,
    coalesce(records._deleted, 'false') = 'true' as is_deleted,
    records._merged_into as merged_into,
    {{ to_timestamp_utc('records._synced_at') }} as synced_at
from records
