-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
with records as (
    {{ latest(source('raw_hubspot', 'deals'), key=['id'], columns=['id', 'pipeline', 'dealstage', 'dealname', 'amount',
        'hs_deal_stage_probability', 'closedate', 'deal_currency_code', 'hs_is_closed', 'hs_is_closed_won', 'hubspot_owner_id',
        'createdate', 'hs_lastmodifieddate', 'hs_salesforceopportunityid']) }}
),

stage as (
    {{ latest(source('raw_hubspot', 'pipeline_stages'), key=['pipeline_id', 'stage_id'], columns=['pipeline_id', 'stage_id', 'label',
        'probability', 'pipeline_label', 'is_closed']) }}
),

main_contact_rows as (
    {{ latest_set(source('raw_hubspot', 'deal_contact_associations'), replaced_by=['from_id'], key=['from_id', 'to_id', 'category',
        'type_id'], columns=['from_id', 'to_id', 'category', 'type_id', 'label']) }}
),

main_contact as (
    select
        connection,
        from_id,
        to_id
    from (
        select
            main_contact_rows.connection as connection,
            main_contact_rows.from_id as from_id,
            main_contact_rows.to_id as to_id,
            row_number() over (
                partition by main_contact_rows.connection, main_contact_rows.from_id
                order by case when {{ lower_case('main_contact_rows.label') }} like '%primary%' then 0 else 1 end nulls last, {{ to_integer('main_contact_rows.type_id') }} nulls last, {{ to_integer('main_contact_rows.to_id') }} nulls last
            ) as place
        from main_contact_rows
        where main_contact_rows.to_id is not null
    ) as ranked
    where place = 1
),

main_company_rows as (
    {{ latest_set(source('raw_hubspot', 'deal_company_associations'), replaced_by=['from_id'], key=['from_id', 'to_id', 'category',
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
)

select
    records.connection as connection,
    'hubspot' as source_system,
    {{ clean_text('records.id') }} as id,
    {{ clean_text('main_contact.to_id') }} as contact_id,
    {{ clean_text('records.dealname') }} as name,
    {{ first_filled(['stage.label', 'records.dealstage']) }} as stage,
    {{ to_decimal('records.amount', 18, 2) }} as value,
    cast(coalesce({{ to_decimal('records.hs_deal_stage_probability', 9, 6) }}, {{ to_decimal('stage.probability', 9, 6) }}) as decimal(9,6)) as probability,
    {{ to_date_utc('records.closedate') }} as close_date,
    {{ clean_text('records.deal_currency_code') }} as currency,
    {{ first_filled(['stage.pipeline_label', 'records.pipeline']) }} as pipeline,
    {{ clean_text('records.dealstage') }} as stage_id,
    {{ to_boolean(first_filled(['records.hs_is_closed', 'stage.is_closed'])) }} as is_closed,
    cast(coalesce({{ to_boolean('records.hs_is_closed_won') }}, {{ to_boolean('stage.is_closed') }} and {{ to_decimal('stage.probability', 9, 6) }} = 1) as boolean) as is_won,
    {{ clean_text('main_company.to_id') }} as company_id,
    {{ clean_text('records.hubspot_owner_id') }} as owner_id,
    {{ to_timestamp_utc('records.createdate') }} as created_date,
    {{ to_timestamp_utc('records.hs_lastmodifieddate') }} as last_updated,
    {{ clean_text('records.hs_salesforceopportunityid') }} as salesforce_id,
    coalesce(records._deleted, 'false') = 'true' as is_deleted,
    {{ to_timestamp_utc('records._synced_at') }} as synced_at
from records
left join stage
    on stage.connection = records.connection
    and stage.pipeline_id = records.pipeline
    and stage.stage_id = records.dealstage
left join main_contact
    on main_contact.connection = records.connection
    and main_contact.from_id = records.id
left join main_company
    on main_company.connection = records.connection
    and main_company.from_id = records.id
