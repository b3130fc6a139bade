create table t (id int);
do $$ begin
  delete from mosaic_deploy.migrations;
end $$;
