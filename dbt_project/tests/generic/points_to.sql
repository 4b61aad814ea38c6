{# Where the column has a value, the other table has a row with it, in the same connection. #}
{% test points_to(model, column_name, to, field) %}
with child as (
    select distinct connection, {{ column_name }} as target from {{ model }}
),

parent as (
    select distinct connection, {{ field }} as target from {{ to }}
)

select child.connection, child.target
from child
left join parent
    on parent.connection = child.connection
    and parent.target = child.target
where child.target is not null and parent.target is null
{% endtest %}
