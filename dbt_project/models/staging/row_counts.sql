-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
select
    connection,
    'salesforce' as source_system,
    'contact' as raw_table,
    'contacts' as entity,
    count(*) as raw_rows
from (
    select distinct
        records.connection,
        records.id
    from {{ source('raw_salesforce', 'contact') }} as records
) as counted
group by connection
union all
select
    connection,
    'salesforce' as source_system,
    'lead' as raw_table,
    'contacts' as entity,
    count(*) as raw_rows
from (
    select distinct
        records.connection,
        records.id
    from {{ source('raw_salesforce', 'lead') }} as records
) as counted
group by connection
union all
select
    connection,
    'salesforce' as source_system,
    'opportunity' as raw_table,
    'opportunities' as entity,
    count(*) as raw_rows
from (
    select distinct
        records.connection,
        records.id
    from {{ source('raw_salesforce', 'opportunity') }} as records
) as counted
group by connection
union all
select
    connection,
    'salesforce' as source_system,
    'opportunity_contact_role' as raw_table,
    'opportunity_contacts' as entity,
    count(*) as raw_rows
from (
    select distinct
        records.connection,
        records.id
    from {{ source('raw_salesforce', 'opportunity_contact_role') }} as records
) as counted
group by connection
union all
select
    connection,
    'salesforce' as source_system,
    'account' as raw_table,
    'companies' as entity,
    count(*) as raw_rows
from (
    select distinct
        records.connection,
        records.id
    from {{ source('raw_salesforce', 'account') }} as records
) as counted
group by connection
union all
select
    connection,
    'salesforce' as source_system,
    'campaign' as raw_table,
    'campaigns' as entity,
    count(*) as raw_rows
from (
    select distinct
        records.connection,
        records.id
    from {{ source('raw_salesforce', 'campaign') }} as records
) as counted
group by connection
union all
select
    connection,
    'salesforce' as source_system,
    'campaign_member' as raw_table,
    'campaign_members' as entity,
    count(*) as raw_rows
from (
    select distinct
        records.connection,
        records.id
    from {{ source('raw_salesforce', 'campaign_member') }} as records
) as counted
group by connection
union all
select
    connection,
    'hubspot' as source_system,
    'contacts' as raw_table,
    'contacts' as entity,
    count(*) as raw_rows
from (
    select distinct
        records.connection,
        records.id
    from {{ source('raw_hubspot', 'contacts') }} as records
) as counted
group by connection
union all
select
    connection,
    'hubspot' as source_system,
    'deals' as raw_table,
    'opportunities' as entity,
    count(*) as raw_rows
from (
    select distinct
        records.connection,
        records.id
    from {{ source('raw_hubspot', 'deals') }} as records
) as counted
group by connection
union all
select
    connection,
    'hubspot' as source_system,
    'deal_contact_associations' as raw_table,
    'opportunity_contacts' as entity,
    count(*) as raw_rows
from (
    select distinct
        records.connection,
        records.from_id,
        records.to_id,
        records.category,
        records.type_id
    from (
        {{ latest_set(source('raw_hubspot', 'deal_contact_associations'), replaced_by=['from_id'], key=['from_id', 'to_id', 'category',
            'type_id'], columns=['from_id', 'to_id', 'category', 'type_id']) }}
    ) as records
    where records.to_id is not null
) as counted
group by connection
union all
select
    connection,
    'hubspot' as source_system,
    'companies' as raw_table,
    'companies' as entity,
    count(*) as raw_rows
from (
    select distinct
        records.connection,
        records.id
    from {{ source('raw_hubspot', 'companies') }} as records
) as counted
group by connection
union all
select
    connection,
    'hubspot' as source_system,
    'lifecycle_stage_history' as raw_table,
    'lifecycle_stage_changes' as entity,
    count(*) as raw_rows
from (
    select distinct
        records.connection,
        records.contact_id,
        records.timestamp,
        records.value
    from (
        {{ latest_set(source('raw_hubspot', 'lifecycle_stage_history'), replaced_by=['contact_id'], key=['contact_id', 'timestamp',
            'value'], columns=['contact_id', 'timestamp', 'value']) }}
    ) as records
    where records.timestamp is not null
) as counted
group by connection
union all
select
    connection,
    'marketo' as source_system,
    'leads' as raw_table,
    'contacts' as entity,
    count(*) as raw_rows
from (
    select distinct
        records.connection,
        records.id
    from {{ source('raw_marketo', 'leads') }} as records
) as counted
group by connection
union all
select
    connection,
    'marketo' as source_system,
    'opportunities' as raw_table,
    'opportunities' as entity,
    count(*) as raw_rows
from (
    select distinct
        records.connection,
        records.marketo_guid
    from {{ source('raw_marketo', 'opportunities') }} as records
    where exists (
        select 1 from (
            {{ latest_set(source('raw_marketo', 'opportunity_roles'), replaced_by=['lead_id'], key=['lead_id', 'marketo_guid'],
                columns=['lead_id', 'marketo_guid', 'external_opportunity_id', 'is_primary']) }}
        ) as main_role where main_role.connection = records.connection and main_role.external_opportunity_id = records.external_opportunity_id and main_role.marketo_guid is not null
    )
) as counted
group by connection
union all
select
    connection,
    'marketo' as source_system,
    'opportunity_roles' as raw_table,
    'opportunity_contacts' as entity,
    count(*) as raw_rows
from (
    select distinct
        records.connection,
        records.lead_id,
        records.marketo_guid
    from (
        {{ latest_set(source('raw_marketo', 'opportunity_roles'), replaced_by=['lead_id'], key=['lead_id', 'marketo_guid'],
            columns=['lead_id', 'marketo_guid']) }}
    ) as records
    where records.marketo_guid is not null
) as counted
group by connection
union all
select
    connection,
    'marketo' as source_system,
    'companies' as raw_table,
    'companies' as entity,
    count(*) as raw_rows
from (
    select distinct
        records.connection,
        records.id
    from {{ source('raw_marketo', 'companies') }} as records
    where exists (
        select 1 from (
            {{ latest(source('raw_marketo', 'leads'), key=['id'], columns=['id', 'external_company_id']) }}
        ) as lead where lead.connection = records.connection and lead.external_company_id = records.external_company_id
    )
) as counted
group by connection
union all
select
    connection,
    'marketo' as source_system,
    'programs' as raw_table,
    'campaigns' as entity,
    count(*) as raw_rows
from (
    select distinct
        records.connection,
        records.id
    from {{ source('raw_marketo', 'programs') }} as records
) as counted
group by connection
union all
select
    connection,
    'marketo' as source_system,
    'campaigns' as raw_table,
    'campaigns' as entity,
    count(*) as raw_rows
from (
    select distinct
        records.connection,
        records.id
    from {{ source('raw_marketo', 'campaigns') }} as records
) as counted
group by connection
union all
select
    connection,
    'marketo' as source_system,
    'activities' as raw_table,
    'campaign_members' as entity,
    count(*) as raw_rows
from (
    select distinct
        records.connection,
        records.lead_id,
        records.primary_attribute_value_id
    from {{ source('raw_marketo', 'activities') }} as records
    where records.activity_type_id = '104'
) as counted
group by connection
