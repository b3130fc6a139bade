CREATE TABLE `t` (e ENUM('a','b') NOT NULL);
