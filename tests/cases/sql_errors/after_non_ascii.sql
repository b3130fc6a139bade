-- žluťoučký kůň 🎉
INSERT INTO t VALUES ('🎉🎉', 'é') RETURNNG id;
