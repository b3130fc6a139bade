SELECT count_attic();
