-- When a task was finished. A trigger sets it, whichever program changes `done`.
ALTER TABLE todos ADD COLUMN finished_at timestamptz;

CREATE FUNCTION note_finished() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.finished_at := CASE WHEN NEW.done THEN coalesce(OLD.finished_at, now()) END;
  RETURN NEW;
END
$$;

CREATE TRIGGER todos_finished BEFORE UPDATE OF done ON todos
  FOR EACH ROW EXECUTE FUNCTION note_finished();
