-- Who is who, in this one place: each contact record, the customer it belongs to, and why.
{%- set shared_mailboxes = [
    'abuse', 'accounting', 'accounts', 'admin', 'administrator', 'billing', 'careers', 'contact', 'contactus', 'enquiries', 'enquiry',
    'events', 'feedback', 'finance', 'hello', 'help', 'helpdesk', 'hr', 'info', 'inquiries', 'invoices', 'it', 'jobs', 'legal', 'mail',
    'marketing', 'media', 'newsletter', 'no-reply', 'noreply', 'office', 'operations', 'orders', 'partners', 'postmaster', 'press',
    'purchasing', 'reception', 'sales', 'security', 'service', 'shop', 'support', 'team', 'webmaster'
] %}
{%- set placeholder_names = [
    'abc', 'anonymous', 'asdf', 'donotreply', 'dummy', 'email', 'example', 'fake', 'invalid', 'na', 'n-a', 'no', 'no-email', 'no.email',
    'noemail', 'nomail', 'none', 'notavailable', 'notprovided', 'nowhere', 'null', 'placeholder', 'test', 'test1', 'test123', 'testing',
    'tbd', 'unknown', 'unspecified', 'x', 'xx', 'xxx'
] %}
{%- set placeholder_domains = ['noemail.com', 'nomail.com', 'none.com', 'nowhere.com', 'test.com', 'unknown.com'] %}

with contacts as (
    select
        connection,
        source_system,
        record_type,
        customer_id,
        email,
        is_deleted,
        coalesce(merged_into, converted_contact_id) as goes_to,
        merged_into is not null as is_merged
    from {{ ref('contacts') }}
),

-- Merged or converted, to a record that is there.
moves as (
    select
        contacts.connection,
        contacts.customer_id as id,
        contacts.goes_to
    from contacts
    inner join contacts as targets
        on targets.connection = contacts.connection
        and targets.customer_id = contacts.goes_to
),

ends as (
    {{ follow_moves('moves') }}
),

survivors as (
    select
        contacts.connection,
        contacts.source_system,
        contacts.record_type,
        contacts.customer_id,
        contacts.is_deleted,
        contacts.is_merged,
        coalesce(ends.survivor_id, contacts.customer_id) as survivor_id
    from contacts
    left join ends
        on ends.connection = contacts.connection
        and ends.id = contacts.customer_id
),

mailboxes as (
    select
        connection,
        customer_id,
        email,
        split_part(email, '@', 1) as mailbox,
        split_part(email, '@', 2) as domain,
        email like '%_@_%._%' and split_part(email, '@', 3) = '' and email not like '% %' as is_address
    from contacts
),

judged as (
    select
        connection,
        customer_id,
        case
            when email is null then 'no_email'
            when not is_address then 'not_an_address'
            when mailbox in ('{{ placeholder_names | join("', '") }}') or domain in ('{{ placeholder_domains | join("', '") }}')
                then 'placeholder_email'
            when mailbox in ('{{ shared_mailboxes | join("', '") }}') then 'shared_mailbox'
            else 'email'
        end as rule,
        -- ann+news@acme.com is ann@acme.com; Gmail ignores dots
        case
            when domain in ('gmail.com', 'googlemail.com') then replace(split_part(mailbox, '+', 1), '.', '') || '@gmail.com'
            when split_part(mailbox, '+', 1) = '' then email
            else split_part(mailbox, '+', 1) || '@' || domain
        end as personal_email
    from mailboxes
),

keyed as (
    select
        survivors.connection,
        survivors.source_system,
        survivors.record_type,
        survivors.customer_id,
        survivors.survivor_id,
        case
            when judged.rule = 'email' then 'email:' || judged.personal_email
            else 'contact:' || survivors.connection || ':' || survivors.survivor_id
        end as key_text,
        case
            when survivors.survivor_id = survivors.customer_id then judged.rule
            when survivors.is_merged then 'merged'
            else 'converted'
        end as rule,
        not survivors.is_deleted and survivors.survivor_id = survivors.customer_id as is_current
    from survivors
    inner join judged
        on judged.connection = survivors.connection
        and judged.customer_id = survivors.survivor_id
)

select
    connection,
    source_system,
    record_type,
    customer_id,
    {{ dbt.hash('key_text') }} as customer_key,
    rule,
    case rule
        when 'email' then 'has the personal e-mail address of this customer'
        when 'merged' then 'was merged into ' || survivor_id || ' in its CRM'
        when 'converted' then 'was converted to contact ' || survivor_id || ' in its CRM'
        when 'shared_mailbox' then 'has the address of a shared mailbox, which says nothing of who it is: stands alone'
        when 'placeholder_email' then 'has a placeholder for an e-mail address: stands alone'
        when 'not_an_address' then 'has an e-mail address that is none: stands alone'
        else 'has no e-mail address: stands alone'
    end as why,
    is_current
from keyed
