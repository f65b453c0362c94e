<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="de_DE" sourcelanguage="en">
  <context>
    <name>earnest</name>
    <message>
      <source>%</source>
      <translation> %</translation>
    </message>
    <message>
      <source>&amp;About</source>
      <translation>Ü&amp;ber</translation>
    </message>
    <message>
      <source>&amp;Add selection</source>
      <translation>Auswahl hin&amp;zufügen</translation>
    </message>
    <message>
      <source>&amp;Cancel the work</source>
      <translation>Arbeit a&amp;bbrechen</translation>
    </message>
    <message>
      <source>&amp;Colours</source>
      <translation>&amp;Farben</translation>
    </message>
    <message>
      <source>&amp;Compare …</source>
      <translation>&amp;Vergleichen …</translation>
    </message>
    <message>
      <source>&amp;Delete</source>
      <translation>&amp;Löschen</translation>
    </message>
    <message>
      <source>&amp;Edit</source>
      <translation>&amp;Bearbeiten</translation>
    </message>
    <message>
      <source>&amp;Emotion</source>
      <translation>&amp;Emotion</translation>
    </message>
    <message>
      <source>&amp;File</source>
      <translation>&amp;Datei</translation>
    </message>
    <message>
      <source>&amp;Help</source>
      <translation>&amp;Hilfe</translation>
    </message>
    <message>
      <source>&amp;Keys</source>
      <translation>&amp;Tasten</translation>
    </message>
    <message>
      <source>&amp;Language</source>
      <translation>&amp;Sprache</translation>
    </message>
    <message>
      <source>&amp;Learn …</source>
      <translation>L&amp;ernen …</translation>
    </message>
    <message>
      <source>&amp;Loop</source>
      <translation>&amp;Schleife</translation>
    </message>
    <message>
      <source>&amp;Next file</source>
      <translation>&amp;Nächste Datei</translation>
    </message>
    <message>
      <source>&amp;Next part</source>
      <translation>&amp;Nächster Abschnitt</translation>
    </message>
    <message>
      <source>&amp;Open recordings …</source>
      <translation>Aufnahmen &amp;öffnen …</translation>
    </message>
    <message>
      <source>&amp;Paste</source>
      <translation>&amp;Einfügen</translation>
    </message>
    <message>
      <source>&amp;Play or stop</source>
      <translation>&amp;Abspielen oder anhalten</translation>
    </message>
    <message>
      <source>&amp;Previous file</source>
      <translation>&amp;Vorige Datei</translation>
    </message>
    <message>
      <source>&amp;Quit</source>
      <translation>&amp;Beenden</translation>
    </message>
    <message>
      <source>&amp;Recent</source>
      <translation>&amp;Zuletzt geöffnet</translation>
    </message>
    <message>
      <source>&amp;Record or stop</source>
      <translation>Auf&amp;nehmen oder anhalten</translation>
    </message>
    <message>
      <source>&amp;Remove from the table</source>
      <translation>Aus der Tabelle ent&amp;fernen</translation>
    </message>
    <message>
      <source>&amp;Right as it is</source>
      <translation>&amp;Richtig so</translation>
    </message>
    <message>
      <source>&amp;Save …</source>
      <translation>&amp;Speichern …</translation>
    </message>
    <message>
      <source>&amp;Search</source>
      <translation>&amp;Suchen</translation>
    </message>
    <message>
      <source>&amp;View</source>
      <translation>&amp;Ansicht</translation>
    </message>
    <message>
      <source>1 file</source>
      <translation>1 Datei</translation>
    </message>
    <message>
      <source>A voice without words.</source>
      <translation>Eine Stimme ohne Worte.</translation>
    </message>
    <message>
      <source>A&amp;nnotate</source>
      <translation>A&amp;nnotieren</translation>
    </message>
    <message>
      <source>About</source>
      <translation>Worum es geht</translation>
    </message>
    <message>
      <source>About the picture</source>
      <translation>Über das Bild</translation>
    </message>
    <message>
      <source>Adapt to what was heard before in the recording</source>
      <translation>An das anpassen, was vorher in der Aufnahme zu hören war</translation>
    </message>
    <message>
      <source>Adaptation weight</source>
      <translation>Gewicht der Anpassung</translation>
    </message>
    <message>
      <source>Agreement</source>
      <translation>Übereinstimmung</translation>
    </message>
    <message>
      <source>All</source>
      <translation>Alles</translation>
    </message>
    <message>
      <source>All files</source>
      <translation>Alle Dateien</translation>
    </message>
    <message>
      <source>Annotate</source>
      <translation>Annotieren</translation>
    </message>
    <message>
      <source>Another window or program writes there.</source>
      <translation>Dort schreibt ein anderes Fenster oder Programm.</translation>
    </message>
    <message>
      <source>Answer</source>
      <translation>Antwort</translation>
    </message>
    <message>
      <source>Answer &amp;again</source>
      <translation>Noch einmal ant&amp;worten</translation>
    </message>
    <message>
      <source>As the system</source>
      <translation>Wie das System</translation>
    </message>
    <message>
      <source>Backend</source>
      <translation>Rechenwerk</translation>
    </message>
    <message>
      <source>By</source>
      <translation>Von</translation>
    </message>
    <message>
      <source>Cancel</source>
      <translation>Abbrechen</translation>
    </message>
    <message>
      <source>Card of the model</source>
      <translation>Steckbrief des Modells</translation>
    </message>
    <message>
      <source>Change the selection, in the waveform</source>
      <translation>Die Auswahl ändern, in der Wellenform</translation>
    </message>
    <message>
      <source>Choose a profile</source>
      <translation>Ein Profil wählen</translation>
    </message>
    <message>
      <source>Choose a recording in the table first.</source>
      <translation>Wählen Sie zuerst in der Tabelle eine Aufnahme.</translation>
    </message>
    <message>
      <source>Choose a recording.</source>
      <translation>Wählen Sie eine Aufnahme.</translation>
    </message>
    <message>
      <source>Choose recordings of one speaker in the table first.</source>
      <translation>Wählen Sie zuerst in der Tabelle Aufnahmen einer sprechenden Person.</translation>
    </message>
    <message>
      <source>Choose …</source>
      <translation>Wählen …</translation>
    </message>
    <message>
      <source>Close</source>
      <translation>Schließen</translation>
    </message>
    <message>
      <source>Close the message</source>
      <translation>Die Meldung schließen</translation>
    </message>
    <message>
      <source>Cohen's kappa {kappa}; they agree on {share} of what both labelled (stretches: {count}).</source>
      <translation>Cohens Kappa {kappa}; sie stimmen in {share} dessen überein, was beide benannt haben (Stellen: {count}).</translation>
    </message>
    <message>
      <source>Compare with a &amp;second annotator …</source>
      <translation>Mit einer zweiten annotierenden &amp;Person vergleichen …</translation>
    </message>
    <message>
      <source>Confidence</source>
      <translation>Sicherheit</translation>
    </message>
    <message>
      <source>Correct in that window, or close both and start again.</source>
      <translation>Korrigieren Sie in jenem Fenster, oder schließen Sie beide und beginnen Sie neu.</translation>
    </message>
    <message>
      <source>Corrections</source>
      <translation>Korrekturen</translation>
    </message>
    <message>
      <source>Dark</source>
      <translation>Dunkel</translation>
    </message>
    <message>
      <source>Delete &amp;part</source>
      <translation>Abschnitt &amp;löschen</translation>
    </message>
    <message>
      <source>Drawing …</source>
      <translation>Wird gezeichnet …</translation>
    </message>
    <message>
      <source>Each package has the text in its .dist-info folder.</source>
      <translation>Jedes Paket hat den Text in seinem Ordner .dist-info.</translation>
    </message>
    <message>
      <source>Emotion</source>
      <translation>Emotion</translation>
    </message>
    <message>
      <source>Emotion of the chosen parts</source>
      <translation>Emotion der gewählten Abschnitte</translation>
    </message>
    <message>
      <source>Emotions that were heard</source>
      <translation>Gehörte Emotionen</translation>
    </message>
    <message>
      <source>End</source>
      <translation>Ende</translation>
    </message>
    <message>
      <source>Export &amp;answers as a table …</source>
      <translation>&amp;Antworten als Tabelle exportieren …</translation>
    </message>
    <message>
      <source>Export &amp;timelines</source>
      <translation>Zeit&amp;leisten exportieren</translation>
    </message>
    <message>
      <source>Export answers</source>
      <translation>Antworten exportieren</translation>
    </message>
    <message>
      <source>File</source>
      <translation>Datei</translation>
    </message>
    <message>
      <source>Files</source>
      <translation>Dateien</translation>
    </message>
    <message>
      <source>Files that are there already: {count}. Replace them?</source>
      <translation>Dateien, die schon da sind: {count}. Ersetzen?</translation>
    </message>
    <message>
      <source>Files without a header can't be read.</source>
      <translation>Dateien ohne Kopf können nicht gelesen werden.</translation>
    </message>
    <message>
      <source>Folder</source>
      <translation>Ordner</translation>
    </message>
    <message>
      <source>Folder for annotations</source>
      <translation>Ordner für Annotationen</translation>
    </message>
    <message>
      <source>Folder for channels</source>
      <translation>Ordner für Kanäle</translation>
    </message>
    <message>
      <source>Folder for timelines</source>
      <translation>Ordner für Zeitleisten</translation>
    </message>
    <message>
      <source>Folder of a bundle</source>
      <translation>Ordner eines Modells</translation>
    </message>
    <message>
      <source>Hear the chosen files as one speaker's, and adapt to this speaker</source>
      <translation>Die gewählten Dateien als die einer Person hören und sich an sie anpassen</translation>
    </message>
    <message>
      <source>Hearing the speaker …</source>
      <translation>Die Person wird gehört …</translation>
    </message>
    <message>
      <source>I</source>
      <translation>Ich</translation>
    </message>
    <message>
      <source>It does not answer yet: choose it in the tab Model, with “Other bundle …”.</source>
      <translation>Es antwortet noch nicht: Wählen Sie es unter „Modell“ mit „Anderes Modell …“.</translation>
    </message>
    <message>
      <source>It has more sound tracks; the first was heard.</source>
      <translation>Die Datei hat weitere Tonspuren; gehört wurde die erste.</translation>
    </message>
    <message>
      <source>It is not stated.</source>
      <translation>Sie ist nicht angegeben.</translation>
    </message>
    <message>
      <source>It never says what has too few labels: {words}.</source>
      <translation>Wofür es zu wenige benannte Abschnitte gibt, das sagt es nie: {words}.</translation>
    </message>
    <message>
      <source>Its channels cancel each other.</source>
      <translation>Die Kanäle löschen einander aus.</translation>
    </message>
    <message>
      <source>Its channels take turns, like two sides of a call: the answer is about their mean.</source>
      <translation>Die Kanäle wechseln sich ab wie zwei Seiten eines Telefongesprächs: Die Antwort gilt ihrem Mittel.</translation>
    </message>
    <message>
      <source>Keys</source>
      <translation>Tasten</translation>
    </message>
    <message>
      <source>Labels by hand: {parts}, in recordings: {recordings}. Each is saved at once.</source>
      <translation>Von Hand benannt: {parts}, in Aufnahmen: {recordings}. Jede Änderung wird sofort gespeichert.</translation>
    </message>
    <message>
      <source>Learn &amp;from my corrections …</source>
      <translation>Aus meinen &amp;Korrekturen lernen …</translation>
    </message>
    <message>
      <source>Learning from your corrections …</source>
      <translation>Lernt aus Ihren Korrekturen …</translation>
    </message>
    <message>
      <source>Left out of the profile:</source>
      <translation>Nicht im Profil:</translation>
    </message>
    <message>
      <source>Left out, as they have no answer, or, as pictures, no times: {count}</source>
      <translation>Ausgelassen, weil sie keine Antwort oder, als Bilder, keine Zeiten haben: {count}</translation>
    </message>
    <message>
      <source>Left out: {count} ({reasons}).</source>
      <translation>Weggelassen: {count} ({reasons}).</translation>
    </message>
    <message>
      <source>Length</source>
      <translation>Länge</translation>
    </message>
    <message>
      <source>Less than half of the speech could be answered: {shares}.</source>
      <translation>Weniger als die Hälfte des Gesprochenen war zu beantworten: {shares}.</translation>
    </message>
    <message>
      <source>Level</source>
      <translation>Pegel</translation>
    </message>
    <message>
      <source>Light</source>
      <translation>Hell</translation>
    </message>
    <message>
      <source>Links to folders are not followed.</source>
      <translation>Verknüpfungen auf Ordner werden nicht verfolgt.</translation>
    </message>
    <message>
      <source>Loading {model} …</source>
      <translation>{model} wird geladen …</translation>
    </message>
    <message>
      <source>Loop</source>
      <translation>Schleife</translation>
    </message>
    <message>
      <source>Make a profile of the chosen files</source>
      <translation>Profil aus den gewählten Dateien erstellen</translation>
    </message>
    <message>
      <source>Make …</source>
      <translation>Erstellen …</translation>
    </message>
    <message>
      <source>Meaning</source>
      <translation>Bedeutung</translation>
    </message>
    <message>
      <source>Message</source>
      <translation>Meldung</translation>
    </message>
    <message>
      <source>Microphone</source>
      <translation>Mikrofon</translation>
    </message>
    <message>
      <source>Model</source>
      <translation>Modell</translation>
    </message>
    <message>
      <source>More of the speech is told as emotional than as neutral. When people talk and don't act, most of it is neutral: then switch on “Most of it is neutral” in the tab Model.</source>
      <translation>Von der Sprache klingt mehr nach Gefühlen als neutral. Wenn Menschen reden und nicht spielen, ist das meiste neutral: Schalten Sie dann „Das meiste ist neutral“ unter „Modell“ ein.</translation>
    </message>
    <message>
      <source>Most of it is neutral, as in conversations</source>
      <translation>Das meiste ist neutral, wie in Gesprächen</translation>
    </message>
    <message>
      <source>Move the cursor by half a second, in the waveform</source>
      <translation>Den Zeiger um eine halbe Sekunde bewegen, in der Wellenform</translation>
    </message>
    <message>
      <source>No emotion is named here that could be right. Name one first.</source>
      <translation>Hier ist keine Emotion genannt, die richtig sein könnte. Nennen Sie erst eine.</translation>
    </message>
    <message>
      <source>No microphone was found. Connect one, or allow this program to use it.</source>
      <translation>Kein Mikrofon gefunden. Schließen Sie eines an, oder erlauben Sie diesem Programm, es zu benutzen.</translation>
    </message>
    <message>
      <source>No profile</source>
      <translation>Kein Profil</translation>
    </message>
    <message>
      <source>No recording is chosen</source>
      <translation>Keine Aufnahme gewählt</translation>
    </message>
    <message>
      <source>Nobody speaks here: noise, music or silence.</source>
      <translation>Hier spricht niemand: Geräusch, Musik oder Stille.</translation>
    </message>
    <message>
      <source>None</source>
      <translation>Keines</translation>
    </message>
    <message>
      <source>Note</source>
      <translation>Hinweis</translation>
    </message>
    <message>
      <source>Nothing can be played: no loudspeaker that works was found ({why}).</source>
      <translation>Es kann nichts abgespielt werden: Kein Lautsprecher gefunden, der geht ({why}).</translation>
    </message>
    <message>
      <source>Of answers with a confidence of {share}, about that share is right, on speech like that it was measured on. Your recordings may be different; the model's card has the measurements.</source>
      <translation>Von Antworten mit {share} Sicherheit ist etwa dieser Anteil richtig, bei Sprache wie der, an der gemessen wurde. Ihre Aufnahmen können anders sein; die Messungen stehen im Steckbrief des Modells.</translation>
    </message>
    <message>
      <source>Open &amp;folder …</source>
      <translation>&amp;Ordner öffnen …</translation>
    </message>
    <message>
      <source>Open folder</source>
      <translation>Ordner öffnen</translation>
    </message>
    <message>
      <source>Open recordings</source>
      <translation>Aufnahmen öffnen</translation>
    </message>
    <message>
      <source>Open recordings or folders, drop them here, or record yourself.</source>
      <translation>Öffnen Sie Aufnahmen oder Ordner, ziehen Sie sie hierher, oder nehmen Sie sich selbst auf.</translation>
    </message>
    <message>
      <source>Other bundle …</source>
      <translation>Anderes Modell …</translation>
    </message>
    <message>
      <source>Parts of the recording</source>
      <translation>Abschnitte der Aufnahme</translation>
    </message>
    <message>
      <source>Place in the recording</source>
      <translation>Stelle in der Aufnahme</translation>
    </message>
    <message>
      <source>Play</source>
      <translation>Abspielen</translation>
    </message>
    <message>
      <source>Play or stop, in the waveform</source>
      <translation>Abspielen oder anhalten, in der Wellenform</translation>
    </message>
    <message>
      <source>Playing</source>
      <translation>Das Abspielen</translation>
    </message>
    <message>
      <source>Polarity</source>
      <translation>Polarität</translation>
    </message>
    <message>
      <source>Pre&amp;vious part</source>
      <translation>&amp;Voriger Abschnitt</translation>
    </message>
    <message>
      <source>Probability of {emotion}</source>
      <translation>Wahrscheinlichkeit von {emotion}</translation>
    </message>
    <message>
      <source>Probability of {emotion}: {share}</source>
      <translation>Wahrscheinlichkeit von {emotion}: {share}</translation>
    </message>
    <message>
      <source>Problem with the microphone</source>
      <translation>Problem mit dem Mikrofon</translation>
    </message>
    <message>
      <source>Profile</source>
      <translation>Profil</translation>
    </message>
    <message>
      <source>Profile of a speaker</source>
      <translation>Profil einer Sprecherin oder eines Sprechers</translation>
    </message>
    <message>
      <source>Profile of the chosen files' speaker …</source>
      <translation>Profil der Person in den gewählten Dateien …</translation>
    </message>
    <message>
      <source>Progress</source>
      <translation>Fortschritt</translation>
    </message>
    <message>
      <source>Quality</source>
      <translation>Qualität</translation>
    </message>
    <message>
      <source>Record</source>
      <translation>Aufnehmen</translation>
    </message>
    <message>
      <source>Recording</source>
      <translation>Aufnahme</translation>
    </message>
    <message>
      <source>Recordings and spectrograms</source>
      <translation>Aufnahmen und Spektrogramme</translation>
    </message>
    <message>
      <source>Recordings that are hidden or in folders of programs are left out.</source>
      <translation>Aufnahmen, die versteckt sind oder in Ordnern von Programmen liegen, werden ausgelassen.</translation>
    </message>
    <message>
      <source>Redo</source>
      <translation>Wiederholen</translation>
    </message>
    <message>
      <source>Replace</source>
      <translation>Ersetzen</translation>
    </message>
    <message>
      <source>Replace files</source>
      <translation>Dateien ersetzen</translation>
    </message>
    <message>
      <source>S&amp;ound</source>
      <translation>&amp;Ton</translation>
    </message>
    <message>
      <source>Save annotations</source>
      <translation>Annotationen speichern</translation>
    </message>
    <message>
      <source>Save as &amp;TextGrid …</source>
      <translation>Als &amp;TextGrid speichern …</translation>
    </message>
    <message>
      <source>Save as &amp;manifest …</source>
      <translation>Als &amp;Manifest speichern …</translation>
    </message>
    <message>
      <source>Save each &amp;channel as a file …</source>
      <translation>Jeden &amp;Kanal als Datei speichern …</translation>
    </message>
    <message>
      <source>Save for E&amp;LAN …</source>
      <translation>&amp;Für ELAN speichern …</translation>
    </message>
    <message>
      <source>Save pict&amp;ure …</source>
      <translation>B&amp;ild speichern …</translation>
    </message>
    <message>
      <source>Save picture</source>
      <translation>Bild speichern</translation>
    </message>
    <message>
      <source>Save picture …</source>
      <translation>Bild speichern …</translation>
    </message>
    <message>
      <source>Save the speaker's profile</source>
      <translation>Profil der sprechenden Person speichern</translation>
    </message>
    <message>
      <source>Search names and notes</source>
      <translation>Namen und Hinweise durchsuchen</translation>
    </message>
    <message>
      <source>Second annotator's manifest</source>
      <translation>Manifest der zweiten annotierenden Person</translation>
    </message>
    <message>
      <source>Select &amp;nothing</source>
      <translation>&amp;Nichts auswählen</translation>
    </message>
    <message>
      <source>Selection</source>
      <translation>Auswahl</translation>
    </message>
    <message>
      <source>Selection, {start} to {end}</source>
      <translation>Auswahl, {start} bis {end}</translation>
    </message>
    <message>
      <source>Several emotions over time; none holds most of the speech.</source>
      <translation>Mehrere Emotionen nacheinander; keine hält den größten Teil der Sprache.</translation>
    </message>
    <message>
      <source>Shares</source>
      <translation>Anteile</translation>
    </message>
    <message>
      <source>Show &amp;all</source>
      <translation>&amp;Alles zeigen</translation>
    </message>
    <message>
      <source>Show all</source>
      <translation>Alles zeigen</translation>
    </message>
    <message>
      <source>Show one emotion</source>
      <translation>Eine Emotion zeigen</translation>
    </message>
    <message>
      <source>Show the &amp;selection</source>
      <translation>Die Aus&amp;wahl zeigen</translation>
    </message>
    <message>
      <source>Show the selection</source>
      <translation>Die Auswahl zeigen</translation>
    </message>
    <message>
      <source>Speaker</source>
      <translation>Wer spricht</translation>
    </message>
    <message>
      <source>Speaker of the chosen parts</source>
      <translation>Wer in den gewählten Abschnitten spricht</translation>
    </message>
    <message>
      <source>Speakers and transcripts</source>
      <translation>Sprecher und Mitschriften</translation>
    </message>
    <message>
      <source>Speakers from a transcript …</source>
      <translation>Wer spricht: aus einer Mitschrift …</translation>
    </message>
    <message>
      <source>Spectrogram</source>
      <translation>Spektrogramm</translation>
    </message>
    <message>
      <source>Speech</source>
      <translation>Sprache</translation>
    </message>
    <message>
      <source>Start</source>
      <translation>Anfang</translation>
    </message>
    <message>
      <source>State of the work</source>
      <translation>Stand der Arbeit</translation>
    </message>
    <message>
      <source>Stop</source>
      <translation>Anhalten</translation>
    </message>
    <message>
      <source>Stretches that both labelled</source>
      <translation>Stellen, die beide benannt haben</translation>
    </message>
    <message>
      <source>Tell unsure answers too</source>
      <translation>Auch unsichere Antworten nennen</translation>
    </message>
    <message>
      <source>The disk is full.</source>
      <translation>Der Datenträger ist voll.</translation>
    </message>
    <message>
      <source>The file can't be opened.</source>
      <translation>Die Datei lässt sich nicht öffnen.</translation>
    </message>
    <message>
      <source>The file holds several recordings.</source>
      <translation>Die Datei enthält mehrere Aufnahmen.</translation>
    </message>
    <message>
      <source>The file is damaged or cut off.</source>
      <translation>Die Datei ist beschädigt oder abgeschnitten.</translation>
    </message>
    <message>
      <source>The file is empty.</source>
      <translation>Die Datei ist leer.</translation>
    </message>
    <message>
      <source>The file names no speakers.</source>
      <translation>Die Datei nennt niemanden, der spricht.</translation>
    </message>
    <message>
      <source>The language changes when you start the application again.</source>
      <translation>Die Sprache wechselt beim nächsten Start.</translation>
    </message>
    <message>
      <source>The likeliest: {likeliest}. Below {limit} this model is right too rarely to name one.</source>
      <translation>Am wahrscheinlichsten: {likeliest}. Unter {limit} hat dieses Modell zu selten recht, um eine zu nennen.</translation>
    </message>
    <message>
      <source>The microphone begins …</source>
      <translation>Das Mikrofon beginnt …</translation>
    </message>
    <message>
      <source>The microphone can't be opened.</source>
      <translation>Das Mikrofon kann nicht geöffnet werden.</translation>
    </message>
    <message>
      <source>The microphone gave no sound. Is it muted, or in use by another program?</source>
      <translation>Vom Mikrofon kam kein Ton. Ist es stumm geschaltet oder von einem anderen Programm belegt?</translation>
    </message>
    <message>
      <source>The microphone is off.</source>
      <translation>Das Mikrofon ist aus.</translation>
    </message>
    <message>
      <source>The microphone stopped.</source>
      <translation>Das Mikrofon liefert keinen Ton mehr.</translation>
    </message>
    <message>
      <source>The model before goes on answering.</source>
      <translation>Das vorige Modell antwortet weiter.</translation>
    </message>
    <message>
      <source>The model is still loading. Try again in a moment.</source>
      <translation>Das Modell wird noch geladen. Versuchen Sie es gleich noch einmal.</translation>
    </message>
    <message>
      <source>The recording is heard in {count} windows, which stand side by side.</source>
      <translation>Die Aufnahme wird in {count} Fenstern gehört, die nebeneinander stehen.</translation>
    </message>
    <message>
      <source>The recording is too long.</source>
      <translation>Die Aufnahme ist zu lang.</translation>
    </message>
    <message>
      <source>The system's microphone</source>
      <translation>Mikrofon des Systems</translation>
    </message>
    <message>
      <source>The texts are in {place}:</source>
      <translation>Die Texte liegen in {place}:</translation>
    </message>
    <message>
      <source>The two files label no common stretch of a recording.</source>
      <translation>Die beiden Dateien benennen keine gemeinsame Stelle einer Aufnahme.</translation>
    </message>
    <message>
      <source>There are no annotations of the opened recordings yet. Correct or confirm a part first.</source>
      <translation>Es gibt noch keine Annotationen der geöffneten Aufnahmen. Korrigieren oder bestätigen Sie erst einen Abschnitt.</translation>
    </message>
    <message>
      <source>There are no annotations yet. Correct or confirm a part first.</source>
      <translation>Es gibt noch keine Annotationen. Korrigieren oder bestätigen Sie erst einen Abschnitt.</translation>
    </message>
    <message>
      <source>There is no picture. Choose a recording that the network hears at once.</source>
      <translation>Es gibt kein Bild. Wählen Sie eine Aufnahme, die das Netz auf einmal hört.</translation>
    </message>
    <message>
      <source>There is no sound in the file.</source>
      <translation>In der Datei ist kein Ton.</translation>
    </message>
    <message>
      <source>There is no such file.</source>
      <translation>Diese Datei gibt es nicht.</translation>
    </message>
    <message>
      <source>There is no such model.</source>
      <translation>Dieses Modell gibt es nicht.</translation>
    </message>
    <message>
      <source>This bundle has no card.</source>
      <translation>Dieses Modell hat keinen Steckbrief.</translation>
    </message>
    <message>
      <source>This correction is not saved: {why}</source>
      <translation>Diese Korrektur ist nicht gespeichert: {why}</translation>
    </message>
    <message>
      <source>This is no recording.</source>
      <translation>Das ist keine Aufnahme.</translation>
    </message>
    <message>
      <source>This kind of file needs more packages.</source>
      <translation>Für diese Art von Datei fehlen Pakete.</translation>
    </message>
    <message>
      <source>This model can't adapt to a speaker.</source>
      <translation>Dieses Modell kann sich an keine Person anpassen.</translation>
    </message>
    <message>
      <source>This place can't be written to.</source>
      <translation>Dort kann nicht geschrieben werden.</translation>
    </message>
    <message>
      <source>This profile is of another model.</source>
      <translation>Dieses Profil gehört zu einem anderen Modell.</translation>
    </message>
    <message>
      <source>This recording was cut off, and is kept: {names}</source>
      <translation>Diese Aufnahme wurde unterbrochen und ist noch da: {names}</translation>
    </message>
    <message>
      <source>To learn, correct or confirm parts of two or more emotions. So far: {count}.</source>
      <translation>Zum Lernen korrigieren oder bestätigen Sie Abschnitte von zwei oder mehr Emotionen. Bisher: {count}.</translation>
    </message>
    <message>
      <source>To the &amp;end</source>
      <translation>Zum &amp;Ende</translation>
    </message>
    <message>
      <source>To the &amp;start</source>
      <translation>Zum An&amp;fang</translation>
    </message>
    <message>
      <source>Too short to be answered.</source>
      <translation>Zu kurz für eine Antwort.</translation>
    </message>
    <message>
      <source>Two annotators</source>
      <translation>Zwei annotierende Personen</translation>
    </message>
    <message>
      <source>Undo</source>
      <translation>Rückgängig</translation>
    </message>
    <message>
      <source>Vocal bursts</source>
      <translation>Laute</translation>
    </message>
    <message>
      <source>Waveform, spectrogram, emotions and probabilities over time</source>
      <translation>Wellenform, Spektrogramm, Emotionen und Wahrscheinlichkeiten über der Zeit</translation>
    </message>
    <message>
      <source>What answers now</source>
      <translation>Was jetzt antwortet</translation>
    </message>
    <message>
      <source>What is known of the recording</source>
      <translation>Was über die Aufnahme bekannt ist</translation>
    </message>
    <message>
      <source>What runs the network</source>
      <translation>Womit das Netz rechnet</translation>
    </message>
    <message>
      <source>What the network sees</source>
      <translation>Was das Netz sieht</translation>
    </message>
    <message>
      <source>Who speaks when</source>
      <translation>Wer wann spricht</translation>
    </message>
    <message>
      <source>Zoom &amp;in</source>
      <translation>Ver&amp;größern</translation>
    </message>
    <message>
      <source>Zoom &amp;out</source>
      <translation>Ver&amp;kleinern</translation>
    </message>
    <message>
      <source>Zoom in</source>
      <translation>Vergrößern</translation>
    </message>
    <message>
      <source>Zoom out</source>
      <translation>Verkleinern</translation>
    </message>
    <message>
      <source>Zoom, in the waveform; as the mouse's wheel does, with Shift it moves</source>
      <translation>Vergrößern und verkleinern, in der Wellenform; wie das Mausrad, das mit Umschalt verschiebt</translation>
    </message>
    <message>
      <source>a new part</source>
      <translation>ein neuer Abschnitt</translation>
    </message>
    <message>
      <source>about {time} to go</source>
      <translation>noch etwa {time}</translation>
    </message>
    <message>
      <source>all</source>
      <translation>alle</translation>
    </message>
    <message>
      <source>another emotion</source>
      <translation>andere Emotion</translation>
    </message>
    <message>
      <source>another speaker</source>
      <translation>wer spricht</translation>
    </message>
    <message>
      <source>band</source>
      <translation>Band</translation>
    </message>
    <message>
      <source>columns, window beside window</source>
      <translation>Spalten, Fenster neben Fenster</translation>
    </message>
    <message>
      <source>confirmed</source>
      <translation>bestätigt</translation>
    </message>
    <message>
      <source>deleted</source>
      <translation>gelöscht</translation>
    </message>
    <message>
      <source>differs</source>
      <translation>anders</translation>
    </message>
    <message>
      <source>earnest {version} tells which emotion a speaker expresses, and how sure that is. No sound leaves this computer. Licence: Apache-2.0; Qt and PySide: LGPL-3.0; the details have the others.</source>
      <translation>earnest {version} sagt, welche Emotion eine Stimme ausdrückt, und wie sicher das ist. Kein Ton verlässt diesen Rechner. Lizenz: Apache-2.0; Qt und PySide: LGPL-3.0; die anderen stehen in den Details.</translation>
    </message>
    <message>
      <source>emotion</source>
      <translation>Emotion</translation>
    </message>
    <message>
      <source>hand</source>
      <translation>Hand</translation>
    </message>
    <message>
      <source>model</source>
      <translation>Modell</translation>
    </message>
    <message>
      <source>none</source>
      <translation>keines</translation>
    </message>
    <message>
      <source>not defined</source>
      <translation>nicht bestimmt</translation>
    </message>
    <message>
      <source>pause</source>
      <translation>Pause</translation>
    </message>
    <message>
      <source>probability</source>
      <translation>Wahrscheinl.</translation>
    </message>
    <message>
      <source>see its folder</source>
      <translation>siehe sein Ordner</translation>
    </message>
    <message>
      <source>spectrogram</source>
      <translation>Spektrogramm</translation>
    </message>
    <message>
      <source>speech</source>
      <translation>Sprache</translation>
    </message>
    <message>
      <source>time in s</source>
      <translation>Zeit in s</translation>
    </message>
    <message>
      <source>waveform</source>
      <translation>Wellenform</translation>
    </message>
    <message>
      <source>{count} cancelled</source>
      <translation>{count} abgebrochen</translation>
    </message>
    <message>
      <source>{count} could not be read</source>
      <translation>{count} nicht lesbar</translation>
    </message>
    <message>
      <source>{count} files</source>
      <translation>{count} Dateien</translation>
    </message>
    <message>
      <source>{count} left</source>
      <translation>{count} übrig</translation>
    </message>
    <message>
      <source>{count} written: {place}</source>
      <translation>{count} geschrieben: {place}</translation>
    </message>
    <message>
      <source>{folder}: no recordings in this folder ({endings}). Choose another.</source>
      <translation>{folder}: In diesem Ordner sind keine Aufnahmen ({endings}). Wählen Sie einen anderen.</translation>
    </message>
    <message>
      <source>{frames} by {rows} pixels, {lowest} to {highest} dB. Saved and dropped back, it gives the same answer.</source>
      <translation>{frames} mal {rows} Punkte, {lowest} bis {highest} dB. Gespeichert und wieder hierher gezogen, gibt es dieselbe Antwort.</translation>
    </message>
    <message>
      <source>{model} can't adapt to a speaker. Choose another model, or switch it off.</source>
      <translation>{model} kann sich nicht anpassen. Wählen Sie ein anderes Modell, oder schalten Sie es aus.</translation>
    </message>
    <message>
      <source>{model} does not tell “neutral”. Choose another model, or switch “Most of it is neutral” off.</source>
      <translation>{model} kennt „neutral“ nicht. Wählen Sie ein anderes Modell, oder schalten Sie „Das meiste ist neutral“ aus.</translation>
    </message>
    <message>
      <source>{model} has learnt from {count} labels. Tested on labels that it had not learnt from, it named {share} of them right; its card, in the tab Model, tells more. It is in {path}.</source>
      <translation>{model} hat aus {count} benannten Abschnitten gelernt. Geprüft an Abschnitten, aus denen es nicht gelernt hatte, hat es {share} richtig benannt; mehr sagt sein Steckbrief unter „Modell“. Es liegt in {path}.</translation>
    </message>
    <message>
      <source>{model} is ready.</source>
      <translation>{model} ist bereit.</translation>
    </message>
    <message>
      <source>{name} has one channel only.</source>
      <translation>{name} hat nur einen Kanal.</translation>
    </message>
    <message>
      <source>{name} {version} tells: {words}. Unsure below {limit}. Licence: {licence}.</source>
      <translation>{name} {version} nennt: {words}. Unsicher unter {limit}. Lizenz: {licence}.</translation>
    </message>
    <message>
      <source>{path} is there already. Choose another folder.</source>
      <translation>{path} gibt es schon. Wählen Sie einen anderen Ordner.</translation>
    </message>
    <message>
      <source>{path}: the name must end in {endings}.</source>
      <translation>{path}: Der Name muss auf {endings} enden.</translation>
    </message>
    <message>
      <source>{seconds} s of sound were lost: this computer is too slow.</source>
      <translation>{seconds} s Ton gingen verloren: Dieser Rechner ist zu langsam.</translation>
    </message>
    <message>
      <source>{time} of this one heard</source>
      <translation>von dieser {time} gehört</translation>
    </message>
    <message>
      <source>{why} {model} answers instead.</source>
      <translation>{why} Nun antwortet {model}.</translation>
    </message>
    <message>
      <source>“Save each channel as a file” in the menu File opens each by itself.</source>
      <translation>„Jeden Kanal als Datei speichern“ im Menü Datei öffnet jeden für sich.</translation>
    </message>
  </context>
  <context>
    <name>words</name>
    <message>
      <source>(crying)</source>
      <translation>(Weinen)</translation>
    </message>
    <message>
      <source>(laughter)</source>
      <translation>(Lachen)</translation>
    </message>
    <message>
      <source>(other)</source>
      <translation>(anderer Laut)</translation>
    </message>
    <message>
      <source>(scream)</source>
      <translation>(Schrei)</translation>
    </message>
    <message>
      <source>(sigh)</source>
      <translation>(Seufzen)</translation>
    </message>
    <message>
      <source>angry</source>
      <translation>wütend</translation>
    </message>
    <message>
      <source>boredom</source>
      <translation>gelangweilt</translation>
    </message>
    <message>
      <source>calm</source>
      <translation>ruhig</translation>
    </message>
    <message>
      <source>cancelled</source>
      <translation>abgebrochen</translation>
    </message>
    <message>
      <source>clipped</source>
      <translation>übersteuert</translation>
    </message>
    <message>
      <source>contempt</source>
      <translation>verächtlich</translation>
    </message>
    <message>
      <source>disgust</source>
      <translation>angeekelt</translation>
    </message>
    <message>
      <source>error</source>
      <translation>Fehler</translation>
    </message>
    <message>
      <source>excited</source>
      <translation>aufgeregt</translation>
    </message>
    <message>
      <source>fearful</source>
      <translation>ängstlich</translation>
    </message>
    <message>
      <source>frustration</source>
      <translation>frustriert</translation>
    </message>
    <message>
      <source>happy</source>
      <translation>fröhlich</translation>
    </message>
    <message>
      <source>hearing</source>
      <translation>wird gehört</translation>
    </message>
    <message>
      <source>low-bandwidth</source>
      <translation>schmales Frequenzband</translation>
    </message>
    <message>
      <source>mixed</source>
      <translation>gemischt</translation>
    </message>
    <message>
      <source>neutral</source>
      <translation>neutral</translation>
    </message>
    <message>
      <source>no-speech</source>
      <translation>keine Sprache</translation>
    </message>
    <message>
      <source>noisy</source>
      <translation>verrauscht</translation>
    </message>
    <message>
      <source>ok</source>
      <translation>in Ordnung</translation>
    </message>
    <message>
      <source>other</source>
      <translation>andere</translation>
    </message>
    <message>
      <source>other-tracks</source>
      <translation>weitere Tonspuren</translation>
    </message>
    <message>
      <source>out-of-domain</source>
      <translation>fremdartig</translation>
    </message>
    <message>
      <source>overlapped-speech</source>
      <translation>mehrere sprechen zugleich</translation>
    </message>
    <message>
      <source>sad</source>
      <translation>traurig</translation>
    </message>
    <message>
      <source>separate-channels</source>
      <translation>getrennte Kanäle</translation>
    </message>
    <message>
      <source>surprised</source>
      <translation>überrascht</translation>
    </message>
    <message>
      <source>too-quiet</source>
      <translation>zu leise</translation>
    </message>
    <message>
      <source>too-short</source>
      <translation>zu kurz</translation>
    </message>
    <message>
      <source>unsure</source>
      <translation>unsicher</translation>
    </message>
    <message>
      <source>vocal-burst</source>
      <translation>Laut</translation>
    </message>
    <message>
      <source>waiting</source>
      <translation>wartet</translation>
    </message>
  </context>
</TS>
