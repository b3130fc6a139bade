-- +goose Up
-- +goose StatementBegin
SELECT 1;
-- +goose Donw
DROP TABLE a;
