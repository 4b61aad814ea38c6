-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
with activities_rows as (
    {{ latest(source('raw_marketo', 'activities'), key=['marketo_guid'], columns=['marketo_guid', 'activity_type_id', 'activity_date',
        'lead_id', 'primary_attribute_value_id', 'attributes']) }}
),

records as (
    select
        connection,
        _synced_at,
        _deleted,
        _merged_into,
        activity_type_id,
        activity_date,
        marketo_guid,
        lead_id,
        primary_attribute_value_id,
        attributes
    from (
        select
            activities_rows.connection as connection,
            activities_rows._synced_at as _synced_at,
            activities_rows._deleted as _deleted,
            activities_rows._merged_into as _merged_into,
            activities_rows.activity_type_id as activity_type_id,
            activities_rows.activity_date as activity_date,
            activities_rows.marketo_guid as marketo_guid,
            activities_rows.lead_id as lead_id,
            activities_rows.primary_attribute_value_id as primary_attribute_value_id,
            activities_rows.attributes as attributes,
            row_number() over (
                partition by activities_rows.connection, activities_rows.lead_id, activities_rows.primary_attribute_value_id
                order by {{ to_timestamp_utc('activities_rows.activity_date') }} desc nulls last, activities_rows.marketo_guid desc nulls last
            ) as place
        from activities_rows
        where activities_rows.activity_type_id = '104'
    ) as ranked
    where place = 1
)

select
    records.connection as connection,
    'marketo' as source_system,
    cast(coalesce(records.primary_attribute_value_id, '') || '-' || coalesce(records.lead_id, '') as {{ dbt.type_string() }}) as id,
    {{ clean_text('records.primary_attribute_value_id') }} as campaign_id,
    {{ clean_text('records.lead_id') }} as contact_id,
    cast({{ json_attribute('records.attributes', 'New Status') }} as {{ dbt.type_string() }}) as status,
    cast({{ to_boolean(json_attribute('records.attributes', 'Success')) }} as boolean) as responded,
    cast(null as {{ dbt.type_timestamp() }}) as created_date,
    {{ to_timestamp_utc('records.activity_date') }} as last_updated,
    coalesce(records._deleted, 'false') = 'true' as is_deleted,
    {{ to_timestamp_utc('records._synced_at') }} as synced_at
from records
