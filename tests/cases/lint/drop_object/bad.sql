-- expect: 4:1 destructive drop_object drops view order_list
-- expect: 5:1 destructive drop_object drops materialized view order_totals
-- expect: 6:7 destructive drop_object drops view papers_list
DROP VIEW order_list;
DROP MATERIALIZED VIEW order_totals;
DO $$ BEGIN DROP VIEW papers_list; END $$;
