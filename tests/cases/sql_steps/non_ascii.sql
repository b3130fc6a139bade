/* žluťoučký 🎉 */ INSERT INTO t VALUES ('🎉');
VACUUM "tábor";
