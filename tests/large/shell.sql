create table t(a integer primary key, b text, c real);
insert into t(b,c) select hex(randomblob(4))||'', 1.5*value from generate_series(1,5);
update t set b='row'||a;
.mode box
select * from t;
.mode csv
select sum(c), avg(a), max(b) from t;
with recursive f(n,a,b) as (select 1,0,1 union all select n+1,b,a+b from f where n<30) select max(a) from f;
.schema
select json_extract('{"x":[1,2,{"y":"z"}]}','$.x[2].y');
.tables
select printf('%08.3f|%s|%x', 3.14159, 'str', 255);
