{# What is left of a company's name for comparing: case, accents, punctuation, a leading article and legal forms do not count. #}
{% macro bare_company_name(x) -%}
{%- set forms = [
    'incorporated', 'inc', 'corporation', 'corp', 'company', 'co', 'limited', 'ltd', 'llc', 'llp', 'lp', 'plc', 'pty', 'pte', 'gmbh', 'ag', 'kg', 'kgaa',
    'ohg', 'ug', 'ev', 'se', 'sa', 'sas', 'sasu', 'sarl', 'eurl', 'sl', 'slu', 'spa', 'srl', 'bv', 'nv', 'bvba', 'cv', 'ab', 'as', 'asa', 'aps', 'oy', 'oyj',
    'kk', 'sro', 'zrt', 'kft', 'doo', 'ooo', 'sp z oo', 'ltda', 'sa de cv', 'holding', 'holdings', 'group'
] -%}
nullif({{ without_ending(without_beginning(fold_text(x), 'the'), forms, ['and', 'und', 'et']) }}, '')
{%- endmacro %}

{# What people write where they know no company. #}
{% macro is_no_name(bare) -%}
{{ bare }} in (
    'unknown', 'not provided', 'n a', 'na', 'none', 'null', 'nil', 'no', 'test', 'testing', 'self', 'self employed', 'freelance', 'freelancer', 'private',
    'individual', 'personal', 'student', 'home', 'tbd', 'x', 'xx', 'xxx', 'other', 'unspecified', 'unemployed', 'retired'
)
{%- endmacro %}
