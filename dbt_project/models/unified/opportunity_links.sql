-- Which opportunities of different CRMs are one deal, and why. Nothing is merged: one record of each deal is counted, the others are not.
with deals as (
    select
        record,
        connection,
        id,
        label
    from {{ ref('deal_records') }}
),

kept as (
    select
        left_record,
        right_record,
        rule,
        priority
    from {{ ref('deal_links') }}
),

{{ reach_by_links('joined', 'deals', 'kept') }},

nearest as (
    select record, rule, priority, linked_record
    from (
        select
            kept.left_record as record,
            kept.rule,
            kept.priority,
            kept.right_record as linked_record,
            row_number() over (partition by kept.left_record order by kept.priority, deals.label) as place
        from kept
        inner join deals on deals.record = kept.right_record
    ) as in_order
    where place = 1
)

select
    opportunities.connection,
    opportunities.source_system,
    opportunities.id as opportunity_id,
    {{ dbt.hash("'deal:' || coalesce(joined_4.label, opportunities.connection || ':' || opportunities.id)") }} as deal_key,
    case when opportunities.is_deleted then 'deleted' else coalesce(nearest.rule, 'alone') end as rule,
    nearest.priority,
    linked.connection as linked_connection,
    linked.id as linked_opportunity_id,
    case
        when opportunities.is_deleted then 'is deleted: counts nowhere'
        when nearest.rule is null then 'resembles no deal of another CRM, or several alike: stands alone'
        else case nearest.rule
            when 'salesforce_id' then 'is, or names, the same Salesforce opportunity as '
            when 'same_deal' then 'has a customer or company, name, value and closing date in common with '
            when 'name_and_value' then 'has a customer or company, a similar name, the value and nearly the closing date in common with '
            when 'name_and_date' then 'has a customer or company, a similar name and nearly the closing date in common, and no value against it, with '
            else 'has a customer or company, an unusual value and the closing date in common with '
        end || linked.record
    end as why,
    coalesce(joined_4.label = deals.label, false) as is_counted
from {{ ref('opportunities') }} as opportunities
left join deals on deals.record = opportunities.connection || ':' || opportunities.id
left join joined_4 on joined_4.record = deals.record
left join nearest on nearest.record = deals.record
left join deals as linked on linked.record = nearest.linked_record
