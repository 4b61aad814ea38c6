-- What the deals of each company are worth, by currency.
with deals as (
    {{ counted_deals(ref('company_opportunities'), 'company_key') }}
)

{{ values_by_currency('deals', 'company_key') }}
