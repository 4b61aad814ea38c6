-- What the deals of each customer are worth, by currency.
with deals as (
    {{ counted_deals(ref('customer_opportunities'), 'customer_key') }}
)

{{ values_by_currency('deals', 'customer_key') }}
