ALTER TYPE place ADD ATTRIBUTE country text;
