-- Each company's deals, once each: the record that is counted speaks for the deal, also when only another record names the company.
with takers as (
    select distinct links.company_key, deals.deal_key
    from {{ ref('opportunities') }} as opportunities
    inner join {{ ref('company_records') }} as links
        on links.connection = opportunities.connection
        and links.company_id = opportunities.company_id
    inner join {{ ref('opportunity_links') }} as deals
        on deals.connection = opportunities.connection
        and deals.opportunity_id = opportunities.id
)

select
    takers.company_key,
    counted.deal_key,
    counted.connection,
    counted.opportunity_id
from takers
inner join {{ ref('opportunity_links') }} as counted
    on counted.deal_key = takers.deal_key
    and counted.is_counted
