-- A car rental: where, what, who, when, and what they paid.
create table locations (id int primary key, city text not null, opened date not null);
create table cars (id int primary key, location_id int not null, plate text not null unique, model text not null, day_rate numeric(8, 2) not null);
create table customers (id int primary key, name text not null, email text not null unique, since date not null);
create table bookings (id int primary key, car_id int not null, customer_id int not null, starts date not null, days int not null);
create table payments (id bigint generated always as identity primary key, booking_id int not null, amount numeric(8, 2) not null, reference text not null unique, paid timestamptz not null default now());

insert into locations
select n, (array['Lisbon', 'Porto', 'Faro', 'Braga', 'Madrid', 'Sevilla', 'Valencia', 'Bilbao', 'Lyon', 'Nice', 'Torino', 'Graz'])[n], date '2019-03-01' + n * 40
from generate_series(1, 12) n;

insert into cars
select n, 1 + n % 12, format('%s-%s', chr(65 + n % 26), 10000 + n), (array['Clio', 'Golf', 'Corolla', 'Fiat 500', 'Transit', 'Model 3'])[1 + n % 6], 29 + n % 90
from generate_series(1, 1800) n;

insert into customers
select n, format('Customer %s', n), format('customer%s@example.com', n), date '2020-01-01' + n % 2000
from generate_series(1, 40000) n;

insert into bookings
select n, 1 + (n::bigint * 7919) % 1800, 1 + (n::bigint * 104729) % 40000, date '2022-01-01' + n % 1500, 1 + n % 14
from generate_series(1, 200000) n;

insert into payments (booking_id, amount, reference)
select b.id, b.days * c.day_rate, format('card-%s', b.id)
from bookings b join cars c on c.id = b.car_id;

alter table cars add foreign key (location_id) references locations;
alter table bookings add foreign key (car_id) references cars, add foreign key (customer_id) references customers;
alter table payments add foreign key (booking_id) references bookings;
create index on bookings (customer_id);
create index on bookings (starts);
