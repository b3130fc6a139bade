-- nothing yet
/* really
   nothing */
;
