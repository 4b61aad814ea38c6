-- Each customer's deals, once each: the record that is counted speaks for the deal, also when only another record names the customer.
with takers as (
    select distinct links.customer_key, deals.deal_key
    from (
        {{ parts_in_deals() }}
    ) as parts
    inner join {{ source('identity', 'customer_contacts') }} as links
        on links.connection = parts.connection
        and links.customer_id = parts.contact_id
    inner join {{ ref('opportunity_links') }} as deals
        on deals.connection = parts.connection
        and deals.opportunity_id = parts.opportunity_id
)

select
    takers.customer_key,
    counted.deal_key,
    counted.connection,
    counted.opportunity_id
from takers
inner join {{ ref('opportunity_links') }} as counted
    on counted.deal_key = takers.deal_key
    and counted.is_counted
