package main

func nameColumn() column {
	return column{title: "Name", label: "instance_name", config: wide(225).with(toInstance)}
}

func idColumn() column {
	return column{title: "ID", label: "instance_id", config: wide(165).with(toInstance)}
}

func regionColumn() column { return column{title: "Region", label: "region_id", config: wide(115)} }

func clusterColumn() column { return column{title: "Cluster", label: "cluster", config: wide(90)} }

// wide is the width of a column.
func wide(pixels int) object { return object{"custom.width": pixels} }

// fromNow is a timestamp, in milliseconds, as the time from now.
func fromNow() object { return wide(140).with(object{"unit": "dateTimeFromNow"}) }
